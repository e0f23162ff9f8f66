"""What everything stands on: files, locks, how a device computes, processes, types of options."""
