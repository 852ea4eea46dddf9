"""A cluster on AWS that is launched, trains, brings the models home and ends itself. No request path imports this."""
