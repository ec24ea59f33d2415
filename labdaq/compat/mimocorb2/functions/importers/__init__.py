"""Devices as sources."""
