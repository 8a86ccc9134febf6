"""What `homing up` supervises: one cluster on one machine, and the run-dir that tells others of it."""
