"""Jobs that teach the models, judge them and let them in. No request path imports this."""
