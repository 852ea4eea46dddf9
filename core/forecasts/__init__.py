"""What the models say now, who of them speaks, and how good what they said was once the minutes had come."""
