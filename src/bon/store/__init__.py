"""What lies on disk: prompts, pools, run files and published data sets; reads and writes, decides nothing."""
