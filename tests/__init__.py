"""The tests. A package, so that a dependency that installs a folder of this name does not hide them."""
