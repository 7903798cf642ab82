"""Durable outgoing delivery: schedule, routes, transport security, bounces."""
