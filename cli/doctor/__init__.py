"""`crpbot doctor`: what the machine, the installation and the outside world are like."""
