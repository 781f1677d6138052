"""The libraries that peers.py compares with: what to install, what to tune, and a runner for each."""
