"""Training images: crops, reflections and colour (Sec. 4.1), and batches read ahead."""
