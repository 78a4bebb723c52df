"""placeholder while the parts land"""
