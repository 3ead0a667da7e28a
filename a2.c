unsigned t[256];
static inline __attribute__((always_inline)) unsigned inl(unsigned p, unsigned acc)
{
  acc ^= p;
  acc *= 0x9e3779b1u;
  acc ^= p >> 7;
  acc += t[acc >> 24];
  return acc;
}
unsigned f(const unsigned *a, unsigned acc)
{
  for (int i = 0; i < 8; i++)
    acc = inl(a[i], acc);
  return acc;
}
