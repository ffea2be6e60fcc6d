"""What every room uses: errors, registries, places on disk, files written whole, progress."""
