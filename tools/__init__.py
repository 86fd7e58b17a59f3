"""The commands of `alexnet-tools`, one file each; the only package that imports click."""
