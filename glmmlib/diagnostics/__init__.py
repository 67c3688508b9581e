"""Can the fit be trusted?"""
