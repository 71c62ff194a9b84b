"""What this machine has: devices, memory, loaded networks."""
