"""What is known of the calls of a region, one by one."""
