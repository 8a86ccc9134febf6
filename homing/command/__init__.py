"""The command `homing`: people's verbs, and the services. Modules import what is heavy when a verb runs."""
