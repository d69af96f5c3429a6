"""Physics and signal generators behind the generated sources."""
