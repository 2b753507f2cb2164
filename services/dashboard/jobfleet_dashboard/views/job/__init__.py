"""The page of one job: its state in a sentence, its attempts, its history, its actions."""
