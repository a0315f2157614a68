"""What actors say to each other, a module for each conversation. Facts go up by tell; nobody asks upward."""
