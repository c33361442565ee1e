"""What several tests ask of a snapshot."""


def took(snapshot, window, feature):
    """The durations (µs) of a window's good requests, ascending: of a feature, or of every one (None)."""
    stretches, span = snapshot.history.stretches, (snapshot.start_us(window), snapshot.now_us)
    names = snapshot.history.columns.features if feature is None else [feature]
    return sorted(us for name in names for us in stretches.good_us(*span, name).tolist())
