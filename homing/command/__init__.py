"""The command `homing`: the verbs and the services. Heavy modules are imported when a verb runs."""
