"""What pytest loads: tests are checked regions, each with a report."""
