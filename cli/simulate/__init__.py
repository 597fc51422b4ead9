"""`lastmile simulate`: a day in virtual time through the matching code of production."""
