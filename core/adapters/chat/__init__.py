"""The language model's server: paid for, asked, judged."""
