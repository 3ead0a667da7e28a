/* Runs what a shared library has. */
int forms(void);

int main(void)
{
    return forms();
}
