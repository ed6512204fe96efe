"""What tests of plugins and applications need; not imported by the kernel itself."""
