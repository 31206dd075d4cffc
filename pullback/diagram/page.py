"""How wide a diagram is, in pixels; what draws one loads when a diagram is asked for."""

WIDTH, NARROWEST = 340, 160  # the usual one fits a phone
