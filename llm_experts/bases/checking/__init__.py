"""What is checked of a base's files before and after a library reads them; every fault by its file and key."""
