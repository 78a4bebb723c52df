"""Language experts: training, answers, banks, searches, items."""
