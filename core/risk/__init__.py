"""What the firm's rules allow, and what an account may still lose."""
