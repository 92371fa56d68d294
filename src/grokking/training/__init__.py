"""The training engine: replicas of one network, trained side by side and recorded."""
