"""Rules, judged each minute on the stored history, and in a replay."""
