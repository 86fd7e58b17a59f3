"""Activations of fc7, their store on disk, nearest neighbours and binary codes (Sec. 6.1)."""
