"""From a rendered repository to the settings with which it answers fastest on this machine."""
