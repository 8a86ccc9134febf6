"""Push and table become a plan, outcomes become a report."""
