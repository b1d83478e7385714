"""Helpers of the Python tests: processes, SIP, RTP with known truth, captures, WAV, ledger."""
