"""The domain model that all parts share: pure, and independent of any store."""
