"""The report: what it holds (`model`), how it is made (`build`), judged (`judge`) and written (`json`)."""
