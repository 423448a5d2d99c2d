"""What readers of the log make of it: books, candles, accounts, records of what happened.

A view starts from a part of the exchange's state (model.state) and applies the events after it. It
decides nothing: where it computes money it uses the arithmetic of the exchange, so that view and
exchange agree to the last unit.
"""
