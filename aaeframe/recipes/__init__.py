"""The training procedures, one file each, which read like the paper."""
