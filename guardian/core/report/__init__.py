"""The report: what it holds (`model`), how it is made (`build`), judged, written (`json`) and read (`reading`)."""
