"""How an attempt is started; today by a runner process on this machine."""
