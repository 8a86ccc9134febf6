"""Delivery of pushes: target and table become a plan, the nodes' answers become a report; routed or broadcast."""
