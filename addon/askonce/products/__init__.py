"""The five products whose clients may be pointed here: which of their calls go to a provider, and how they look.

Their management routes are routers in `manage/`; here is only what travels the life of a call, and what rules.yaml may
say about a product. Nothing is imported here: `document.py` needs the sections before there is anything else.
"""
