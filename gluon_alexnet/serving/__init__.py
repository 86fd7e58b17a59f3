"""A net behind HTTP: predictions, the Open Inference Protocol, metrics, and a page that shows what the net sees."""
