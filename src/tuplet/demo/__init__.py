"""The demo: an audit, a comparison of a few objectives and a search on the packaged emoji, told in one page."""
