extern int next(void); extern void put(int);
static inline __attribute__((always_inline)) void inl(int p, int *o)
{
  *o = p * 3;
  if (p == 5) put(1);
  o[1] = 7; o[2] = 9;
}
void loop(int *o)
{
  int i = 0;
  for (;;) { inl(i, o); i++; o += 3; }
}
