"""Graphs that compute in fewer bits than fp32."""
