"""Words of the trade that every part shares: pure, and of no store."""
